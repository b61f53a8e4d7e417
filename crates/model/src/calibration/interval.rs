//! What can come out of a stage when anything between two bounds goes in. Always at least as wide as the truth.

/// How often an interval is halved when a bound is looked for: then it is taken as it is.
const HALVED_MAX: u32 = 24;
/// Most pieces that are looked at for one bound.
const PIECES_MAX: usize = 4_096;

/// From here to there, both included; never empty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Interval {
    pub low: f64,
    pub high: f64,
}

impl Interval {
    pub(super) fn new(a: f64, b: f64) -> Self {
        Self {
            low: a.min(b),
            high: a.max(b),
        }
    }

    pub(super) fn point(value: f64) -> Self {
        Self {
            low: value,
            high: value,
        }
    }

    pub(super) fn is_finite(self) -> bool {
        self.low.is_finite() && self.high.is_finite()
    }

    pub(super) fn width(self) -> f64 {
        self.high - self.low
    }

    pub(super) fn with(self, value: f64) -> Self {
        Self {
            low: self.low.min(value),
            high: self.high.max(value),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            low: self.low + other.low,
            high: self.high + other.high,
        }
    }

    fn times(self, other: Self) -> Self {
        let products = [
            self.low * other.low,
            self.low * other.high,
            self.high * other.low,
            self.high * other.high,
        ];
        Self {
            low: products.into_iter().fold(f64::INFINITY, f64::min),
            high: products.into_iter().fold(f64::NEG_INFINITY, f64::max),
        }
    }

    fn halves(self) -> (Self, Self) {
        let middle = self.low + self.width() / 2.0;
        (Self::new(self.low, middle), Self::new(middle, self.high))
    }
}

/// A polynomial at one place.
pub(super) fn polynomial(coefficients: &[f64], x: f64) -> f64 {
    coefficients
        .iter()
        .rev()
        .fold(0.0, |sum, coefficient| sum * x + coefficient)
}

/// A bound on what comes out of a polynomial.
fn polynomial_over(coefficients: &[f64], x: Interval) -> Interval {
    let zero = Interval::point(0.0);
    let highest_first = coefficients.iter().rev();
    highest_first.fold(zero, |sum, coefficient| {
        sum.times(x).plus(Interval::point(*coefficient))
    })
}

/// The same, but near to the truth: over pieces, each bounded for itself.
pub(super) fn polynomial_range(coefficients: &[f64], x: Interval) -> Interval {
    /// So many pieces are enough: what is over is at most a small part of what comes out.
    const PIECES: u32 = 512;
    let step = x.width() / f64::from(PIECES);
    let pieces = (0..PIECES).map(|piece| {
        let low = x.low + f64::from(piece) * step;
        let high = if piece + 1 == PIECES { x.high } else { low + step };
        polynomial_over(coefficients, Interval::new(low, high))
    });
    pieces.fold(Interval::point(polynomial(coefficients, x.low)), |all, piece| {
        if all.is_finite() && piece.is_finite() {
            Interval::new(all.low.min(piece.low), all.high.max(piece.high))
        } else {
            Interval {
                low: f64::NEG_INFINITY,
                high: f64::INFINITY,
            }
        }
    })
}

/// The way a polynomial goes over an interval: up (or flat), down (or flat), or none for the whole of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Up,
    Down,
    Flat,
}

/// Whether a polynomial only goes one way. None: it turns, or cannot be shown not to.
pub(super) fn polynomial_way(coefficients: &[f64], x: Interval) -> Option<Way> {
    let derivative: Vec<f64> = coefficients
        .iter()
        .enumerate()
        .skip(1)
        .map(|(power, coefficient)| power as f64 * coefficient)
        .collect();
    let all = polynomial_over(&derivative, x);
    // Where the slope only touches zero it cannot be told from crossing it; so small a slope counts as none.
    let none = 1e-9 * all.low.abs().max(all.high.abs());
    let mut way = Way::Flat;
    let mut pieces = vec![(x, 0)];
    let mut looked = 0;
    while let Some((piece, halved)) = pieces.pop() {
        looked += 1;
        if looked > PIECES_MAX {
            return None;
        }
        let slope = polynomial_over(&derivative, piece);
        let here = if slope.low >= -none && slope.high <= none {
            Way::Flat
        } else if slope.low >= -none {
            Way::Up
        } else if slope.high <= none {
            Way::Down
        } else if halved < HALVED_MAX {
            let (low, high) = piece.halves();
            pieces.extend([(low, halved + 1), (high, halved + 1)]);
            continue;
        } else {
            return None;
        };
        way = both(way, here)?;
    }
    Some(way)
}

/// One way after another.
pub(super) fn both(a: Way, b: Way) -> Option<Way> {
    match (a, b) {
        (Way::Flat, other) | (other, Way::Flat) => Some(other),
        (Way::Up, Way::Up) => Some(Way::Up),
        (Way::Down, Way::Down) => Some(Way::Down),
        (Way::Up, Way::Down) | (Way::Down, Way::Up) => None,
    }
}
