//! A grid of streets with rounded corners and traffic lights, and a way through it.
//!
//! The way is a chain of legs: straight on to the entry of the next crossing, then across it or round a corner.
//! Places are metres east and north of the middle, before the grid is turned into its city.

use std::f64::consts::{FRAC_PI_2, PI};

use serde::{Deserialize, Serialize};

use super::random::Random;

/// Between two crossings.
pub(super) const BLOCK_M: f64 = 200.0;
/// A crossing begins so far before its middle; corners have this radius.
const CROSSING_M: f64 = 12.0;
/// Round a corner.
const TURN_M_PER_S: f64 = 4.5;
const SLOW_STREET_M_PER_S: f64 = 30.0 / 3.6;
const FAST_STREET_M_PER_S: f64 = 50.0 / 3.6;
const FAST_STREETS: f64 = 0.7;
const RED_LIGHTS: f64 = 0.22;

/// A crossing of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Crossing {
    pub(crate) east: i32,
    pub(crate) north: i32,
}

impl Crossing {
    fn beyond(self, direction: Direction) -> Self {
        let (east, north) = direction.steps();
        Self {
            east: self.east.saturating_add(east),
            north: self.north.saturating_add(north),
        }
    }

    fn blocks_to(self, other: Self) -> u32 {
        self.east
            .abs_diff(other.east)
            .saturating_add(self.north.abs_diff(other.north))
    }

    pub(crate) fn within(self, (east, north): (i32, i32)) -> bool {
        self.east.unsigned_abs() <= east.unsigned_abs() && self.north.unsigned_abs() <= north.unsigned_abs()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Direction {
    North,
    East,
    South,
    West,
}

impl Direction {
    const ALL: [Self; 4] = [Self::North, Self::East, Self::South, Self::West];

    const fn steps(self) -> (i32, i32) {
        match self {
            Self::North => (0, 1),
            Self::East => (1, 0),
            Self::South => (0, -1),
            Self::West => (-1, 0),
        }
    }

    /// Clockwise from the grid's north.
    const fn radians(self) -> f64 {
        match self {
            Self::North => 0.0,
            Self::East => FRAC_PI_2,
            Self::South => PI,
            Self::West => PI + FRAC_PI_2,
        }
    }

    const fn right(self) -> Self {
        match self {
            Self::North => Self::East,
            Self::East => Self::South,
            Self::South => Self::West,
            Self::West => Self::North,
        }
    }

    const fn left(self) -> Self {
        self.right().right().right()
    }
}

/// What the way does next.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Leg {
    /// Toward the crossing ahead.
    Street {
        limit_m_per_s: f64,
        length_m: f64,
        ends: End,
    },
    /// Over the crossing that was ahead, and on in this direction.
    Over { onward: Direction, limit_m_per_s: f64 },
}

/// How a street ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum End {
    Green { onward: Direction },
    Red { onward: Direction, wait_s: f64 },
    Destination,
}

/// What was reached, standing still.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Reached {
    RedLight { wait_s: f64 },
    Destination,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Way {
    pub(crate) destination: Crossing,
    /// The crossing ahead; while crossing, the one under the wheels.
    pub(crate) ahead: Crossing,
    heading: Direction,
    leg: Leg,
    pub(crate) along_m: f64,
}

impl Way {
    /// Standing somewhere before a crossing that is its destination.
    pub(crate) fn standing(blocks: (i32, i32), random: &mut Random) -> Self {
        let ahead = anywhere(blocks, random);
        let heading = random.pick(&Direction::ALL).unwrap_or(Direction::North);
        let length_m = BLOCK_M - 2.0 * CROSSING_M;
        Self {
            destination: ahead,
            ahead,
            heading,
            leg: Leg::Street {
                limit_m_per_s: SLOW_STREET_M_PER_S,
                length_m,
                ends: End::Destination,
            },
            along_m: length_m,
        }
    }

    /// Sets off from where it stands to a new destination; to any other crossing if none is given.
    pub(crate) fn set_off(&mut self, destination: Option<Crossing>, blocks: (i32, i32), random: &mut Random) {
        self.destination = destination.unwrap_or_else(|| anywhere(blocks, random));
        if self.remaining_m() <= 0.0 && self.ahead != self.destination {
            self.cross(self.onward(blocks, random));
        }
    }

    pub(crate) fn arrived(&self) -> bool {
        self.ahead == self.destination
            && self.remaining_m() <= 0.0
            && matches!(
                self.leg,
                Leg::Street {
                    ends: End::Destination,
                    ..
                }
            )
    }

    /// How fast it may be here.
    pub(crate) fn limit_m_per_s(&self) -> f64 {
        match self.leg {
            Leg::Street { limit_m_per_s, .. } | Leg::Over { limit_m_per_s, .. } => limit_m_per_s,
        }
    }

    /// How fast it may be at the end of this leg.
    pub(crate) fn limit_at_end_m_per_s(&self) -> f64 {
        match self.leg {
            Leg::Over { limit_m_per_s, .. } => limit_m_per_s,
            Leg::Street {
                ends: End::Green { onward },
                limit_m_per_s,
                ..
            } => over_limit(self.heading, onward, limit_m_per_s),
            Leg::Street {
                ends: End::Red { .. } | End::Destination,
                ..
            } => 0.0,
        }
    }

    pub(crate) fn remaining_m(&self) -> f64 {
        self.length_m() - self.along_m
    }

    /// Moves on by so much, at most to the next place where it has to stand.
    pub(crate) fn advance(
        &mut self,
        metres: f64,
        blocks: (i32, i32),
        random: &mut Random,
    ) -> Option<Reached> {
        self.along_m += metres;
        while self.remaining_m() <= 0.0 {
            let over_m = -self.remaining_m();
            match self.leg {
                Leg::Street {
                    ends: End::Destination,
                    ..
                } => {
                    self.along_m = self.length_m();
                    return Some(Reached::Destination);
                }
                Leg::Street {
                    ends: End::Red { onward, wait_s },
                    limit_m_per_s,
                    length_m,
                } => {
                    self.along_m = length_m;
                    let ends = End::Green { onward };
                    self.leg = Leg::Street {
                        limit_m_per_s,
                        length_m,
                        ends,
                    };
                    return Some(Reached::RedLight { wait_s });
                }
                Leg::Street {
                    ends: End::Green { onward },
                    ..
                } => {
                    self.cross(onward);
                    self.along_m = over_m;
                }
                Leg::Over { onward, .. } => {
                    self.enter_street(onward, blocks, random);
                    self.along_m = over_m;
                }
            }
        }
        None
    }

    /// Metres east and north, and the heading in radians clockwise from the grid's north.
    pub(crate) fn pose(&self) -> ((f64, f64), f64) {
        let middle = (
            f64::from(self.ahead.east) * BLOCK_M,
            f64::from(self.ahead.north) * BLOCK_M,
        );
        let start = self.heading.radians();
        let (sin, cos) = start.sin_cos();
        // Ahead and to the right of the crossing's middle, in the direction of arrival.
        let (forward, right, turned) = match self.leg {
            Leg::Street { length_m, .. } => (-CROSSING_M - (length_m - self.along_m), 0.0, 0.0),
            Leg::Over { onward, .. } if onward == self.heading => (self.along_m - CROSSING_M, 0.0, 0.0),
            Leg::Over { onward, .. } => {
                let angle = self.along_m / CROSSING_M;
                let side = if onward == self.heading.right() { 1.0 } else { -1.0 };
                let sideways = CROSSING_M * (1.0 - angle.cos());
                (CROSSING_M * (angle.sin() - 1.0), side * sideways, side * angle)
            }
        };
        let east = middle.0 + forward * sin + right * cos;
        let north = middle.1 + forward * cos - right * sin;
        ((east, north), start + turned)
    }

    fn length_m(&self) -> f64 {
        match self.leg {
            Leg::Street { length_m, .. } => length_m,
            Leg::Over { onward, .. } if onward == self.heading => 2.0 * CROSSING_M,
            Leg::Over { .. } => CROSSING_M * FRAC_PI_2,
        }
    }

    fn cross(&mut self, onward: Direction) {
        let limit_m_per_s = over_limit(self.heading, onward, self.limit_m_per_s());
        self.leg = Leg::Over {
            onward,
            limit_m_per_s,
        };
        self.along_m = 0.0;
    }

    fn enter_street(&mut self, heading: Direction, blocks: (i32, i32), random: &mut Random) {
        self.ahead = self.ahead.beyond(heading);
        self.heading = heading;
        let fast = random.chance(FAST_STREETS);
        let ends = if self.ahead == self.destination {
            End::Destination
        } else {
            let onward = self.onward(blocks, random);
            if random.chance(RED_LIGHTS) {
                End::Red {
                    onward,
                    wait_s: random.between(8.0, 40.0),
                }
            } else {
                End::Green { onward }
            }
        };
        self.leg = Leg::Street {
            limit_m_per_s: if fast {
                FAST_STREET_M_PER_S
            } else {
                SLOW_STREET_M_PER_S
            },
            length_m: BLOCK_M - 2.0 * CROSSING_M,
            ends,
        };
    }

    /// Straight on or round a corner, whichever brings it nearer; if nothing does, round a corner. Never back.
    fn onward(&self, blocks: (i32, i32), random: &mut Random) -> Direction {
        let here = self.ahead.blocks_to(self.destination);
        let nearer = |direction: &Direction| self.ahead.beyond(*direction).blocks_to(self.destination) < here;
        let sides = [self.heading.left(), self.heading.right()];
        let sides_nearer = sides.into_iter().find(nearer);
        match (nearer(&self.heading), sides_nearer) {
            (true, Some(side)) => {
                if random.chance(0.25) {
                    side
                } else {
                    self.heading
                }
            }
            (true, None) => self.heading,
            (false, Some(side)) => side,
            (false, None) => sides
                .into_iter()
                .find(|side| self.ahead.beyond(*side).within(blocks))
                .unwrap_or(self.heading),
        }
    }
}

fn over_limit(heading: Direction, onward: Direction, street_m_per_s: f64) -> f64 {
    if onward == heading {
        street_m_per_s
    } else {
        TURN_M_PER_S
    }
}

fn anywhere((east, north): (i32, i32), random: &mut Random) -> Crossing {
    Crossing {
        east: random.within(east),
        north: random.within(north),
    }
}
