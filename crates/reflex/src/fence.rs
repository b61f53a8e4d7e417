//! Whether a machine stays where it may be, with the braking it can be sure of.
//!
//! [`Fence::judge`] takes the last fix and says whether the machine could still come to rest inside, if it went on as it
//! does and braked now. It is sure of less the faster the machine is and the older the fix, never of more. The reasons are
//! in `docs/decisions/0025-a-fence-with-braking.md`. Nothing here knows a clock: the age of the fix is given.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

/// Most areas of a fence, and most that are kept out of.
pub const AREAS_MAX: usize = 16;
/// Most corners of an area.
pub const CORNERS_MAX: usize = 64;
/// How far a fence may reach, either way: beyond it a map of straight lines is no map of the earth.
pub const REACH_MAX_M: f64 = 50_000.0;

/// Metres to a degree of latitude. Source: the mean radius of the earth, 6371.0088 km.
const M_PER_DEGREE: f64 = 111_195.08;

/// A corner: degrees north, degrees east.
pub type Corner = [f64; 2];

/// Where a machine may be, and what of its braking is sure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fence {
    /// It stays inside one of these, by the corners of each. To get from one into another they overlap.
    pub areas: Vec<Vec<Corner>>,
    /// It stays outside of all of these.
    #[serde(default)]
    pub keep_out: Vec<Vec<Corner>>,
    /// How fast it surely slows down, in m/s².
    pub decelerates_m_per_s2: f64,
    /// How long it takes until it begins to slow down.
    #[serde(default = "half_a_second")]
    pub reaction_ms: u32,
    /// How far off the position may be.
    #[serde(default = "three_metres")]
    pub margin_m: f64,
    /// A fix that is older is none.
    #[serde(default = "ten_seconds")]
    pub fresh_ms: u32,
}

const fn half_a_second() -> u32 {
    500
}

const fn three_metres() -> f64 {
    3.0
}

const fn ten_seconds() -> u32 {
    10_000
}

/// Where the machine was seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fix {
    /// Degrees north and degrees east.
    pub at: Corner,
    /// Degrees clockwise from north; nothing where that is not known.
    pub heading_degrees: Option<f64>,
    /// How fast it went that way; below zero, backwards.
    pub speed_m_per_s: f64,
    /// How long ago that was.
    pub age_ms: u64,
}

/// Where a machine is, as far as a fence matters; the worse, the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Inside, and it could come to rest inside.
    Inside,
    /// Inside, and it may leave even if it brakes now; or too near to a border to be sure.
    WillLeave,
    /// Outside.
    Outside,
    /// Nobody knows.
    Unknown,
}

/// A point on the map around the machine: metres east and north of it.
type Point = [f64; 2];

impl Fence {
    /// What cannot be meant, with the field.
    pub fn check(&self) -> Vec<(Vec<String>, String)> {
        let mut wrong = Vec::new();
        let mut say = |path: &[&str], what: String| {
            wrong.push((path.iter().map(|&name| name.to_owned()).collect(), what));
        };
        if self.areas.is_empty() {
            say(
                &["areas"],
                "at least one area is accepted: nowhere is no place to be".to_owned(),
            );
        }
        for (field, areas) in [("areas", &self.areas), ("keep_out", &self.keep_out)] {
            if areas.len() > AREAS_MAX {
                say(
                    &[field],
                    format!("there are {}: at most {AREAS_MAX} are accepted", areas.len()),
                );
            }
            for (place, corners) in areas.iter().enumerate() {
                if let Some(what) = wrong_area(corners) {
                    say(&[field, &place.to_string()], what);
                }
            }
        }
        if !(self.decelerates_m_per_s2.is_finite() && self.decelerates_m_per_s2 > 0.0) {
            say(
                &["decelerates_m_per_s2"],
                "a number above zero is accepted".to_owned(),
            );
        }
        if !(0.0..=1_000.0).contains(&self.margin_m) {
            say(&["margin_m"], "0 to 1000 metres are accepted".to_owned());
        }
        if self.reaction_ms > 60_000 {
            say(
                &["reaction_ms"],
                "0 to 60000 milliseconds are accepted".to_owned(),
            );
        }
        if !(1..=600_000).contains(&self.fresh_ms) {
            say(&["fresh_ms"], "1 to 600000 milliseconds are accepted".to_owned());
        }
        wrong
    }

    /// How far it gets after the fix, if it went on since then, reacts now, and brakes.
    pub fn stopping_m(&self, speed_m_per_s: f64, age_ms: u64) -> f64 {
        let speed = speed_m_per_s.abs();
        let rolls_s = (age_ms as f64 + f64::from(self.reaction_ms)) / 1_000.0;
        speed * rolls_s + speed * speed / (2.0 * self.decelerates_m_per_s2)
    }

    /// Where the machine is.
    pub fn judge(&self, fix: &Fix) -> Place {
        let is_known = fix.at.iter().all(|degrees| degrees.is_finite())
            && fix.speed_m_per_s.is_finite()
            && fix.heading_degrees.is_none_or(f64::is_finite)
            && fix.age_ms <= u64::from(self.fresh_ms);
        if !is_known {
            return Place::Unknown;
        }
        let map = Map::around(fix.at);
        let stopping_m = self.stopping_m(fix.speed_m_per_s, fix.age_ms);
        // Who does not know where it is going may be anywhere that far away.
        let (way, margin_m) = match fix.heading_degrees {
            Some(degrees) => {
                let (east, north) = degrees.to_radians().sin_cos();
                let far = stopping_m.copysign(fix.speed_m_per_s);
                ([east * far, north * far], self.margin_m)
            }
            None => ([0.0, 0.0], self.margin_m + stopping_m),
        };
        let inside = |corners: &Vec<Corner>| map.holds_here(corners);
        let clear = |corners: &Vec<Corner>| map.border_distance(corners, way) >= margin_m;
        if !self.areas.iter().any(inside) || self.keep_out.iter().any(inside) {
            Place::Outside
        } else if self.areas.iter().any(|area| inside(area) && clear(area)) && self.keep_out.iter().all(clear)
        {
            Place::Inside
        } else {
            Place::WillLeave
        }
    }

    /// For how long from the fix on the machine surely can still come to rest inside, if it goes on as it did; nothing if it
    /// cannot even now.
    pub fn inside_for_ms(&self, fix: &Fix) -> Option<u64> {
        let inside_at = |age_ms| self.judge(&Fix { age_ms, ..*fix }) == Place::Inside;
        if !inside_at(fix.age_ms) {
            return None;
        }
        // Older is never better: what lies between is found by halving.
        let (mut sure, mut beyond) = (fix.age_ms, u64::from(self.fresh_ms) + 1);
        while beyond - sure > 1 {
            let middle = sure + (beyond - sure) / 2;
            if inside_at(middle) {
                sure = middle;
            } else {
                beyond = middle;
            }
        }
        Some(sure - fix.age_ms)
    }
}

fn wrong_area(corners: &[Corner]) -> Option<String> {
    if !(3..=CORNERS_MAX).contains(&corners.len()) {
        return Some(format!(
            "there are {} corners: 3 to {CORNERS_MAX} are accepted",
            corners.len()
        ));
    }
    let off =
        |corner: &&Corner| !((-85.0..=85.0).contains(&corner[0]) && (-180.0..=180.0).contains(&corner[1]));
    if let Some([north, east]) = corners.iter().find(off) {
        return Some(format!(
            "[{north}, {east}] is no corner: degrees north (-85 to 85), degrees east (-180 to 180)"
        ));
    }
    let map = Map::around(corners[0]);
    let far = |corner: &Corner| map.point(*corner).iter().any(|metres| metres.abs() > REACH_MAX_M);
    if corners.iter().any(far) {
        return Some(format!(
            "it reaches further than {REACH_MAX_M} metres from its first corner"
        ));
    }
    // Twice its area, by the shoelace formula.
    let edges = edges(corners).map(|(from, to)| (map.point(from), map.point(to)));
    let twice: f64 = edges.map(|(from, to)| from[0] * to[1] - to[0] * from[1]).sum();
    (twice.abs() < 2.0).then(|| "it is smaller than a square metre".to_owned())
}

/// The map around a place: distances near it are true, straight lines in degrees stay straight.
struct Map {
    at: Corner,
    m_per_degree_east: f64,
}

impl Map {
    fn around(at: Corner) -> Self {
        Self {
            at,
            m_per_degree_east: M_PER_DEGREE * at[0].to_radians().cos(),
        }
    }

    fn point(&self, corner: Corner) -> Point {
        // Across the date line the short way round.
        let east = (corner[1] - self.at[1] + 540.0).rem_euclid(360.0) - 180.0;
        [
            east * self.m_per_degree_east,
            (corner[0] - self.at[0]) * M_PER_DEGREE,
        ]
    }

    /// Whether the place is inside: a line east of it crosses the border an odd number of times.
    fn holds_here(&self, corners: &[Corner]) -> bool {
        let crossed = edges(corners).filter(|(from, to)| {
            let (from, to) = (self.point(*from), self.point(*to));
            (from[1] > 0.0) != (to[1] > 0.0)
                && from[0] - from[1] * (to[0] - from[0]) / (to[1] - from[1]) > 0.0
        });
        crossed.count() % 2 == 1
    }

    /// How near a way from here comes to the border.
    fn border_distance(&self, corners: &[Corner], way: Point) -> f64 {
        let edges = edges(corners).map(|(from, to)| (self.point(from), self.point(to)));
        edges
            .map(|(from, to)| distance([0.0, 0.0], way, from, to))
            .fold(f64::INFINITY, f64::min)
    }
}

fn edges(corners: &[Corner]) -> impl Iterator<Item = (Corner, Corner)> + '_ {
    let next = corners.iter().cycle().skip(1);
    corners.iter().copied().zip(next.copied())
}

/// Between two straight lines with ends.
fn distance(a: Point, b: Point, c: Point, d: Point) -> f64 {
    if cross(a, b, c, d) {
        return 0.0;
    }
    [
        from_line(a, c, d),
        from_line(b, c, d),
        from_line(c, a, b),
        from_line(d, a, b),
    ]
    .into_iter()
    .fold(f64::INFINITY, f64::min)
}

/// Whether the ends of each lie on different sides of the other. Where one end lies on the other line its distance is zero
/// anyway.
fn cross(a: Point, b: Point, c: Point, d: Point) -> bool {
    let side = |from: Point, to: Point, point: Point| {
        (to[0] - from[0]) * (point[1] - from[1]) - (to[1] - from[1]) * (point[0] - from[0])
    };
    side(a, b, c) * side(a, b, d) < 0.0 && side(c, d, a) * side(c, d, b) < 0.0
}

/// From a point to a straight line with ends.
fn from_line(point: Point, from: Point, to: Point) -> f64 {
    let (along, there) = (
        [to[0] - from[0], to[1] - from[1]],
        [point[0] - from[0], point[1] - from[1]],
    );
    let length2 = along[0] * along[0] + along[1] * along[1];
    let share = if length2 > 0.0 {
        ((there[0] * along[0] + there[1] * along[1]) / length2).clamp(0.0, 1.0)
    } else {
        0.0
    };
    (there[0] - share * along[0]).hypot(there[1] - share * along[1])
}
