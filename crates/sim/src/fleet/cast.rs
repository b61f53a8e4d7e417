//! Who is in the fleet: kinds, sites, names and ids, all from the seed.

use muster_metal::simulated::{Profile, Site};
use muster_model::MachineId;

/// One machine's part.
#[derive(Clone, Debug)]
pub struct Role {
    /// Its id, the same for the same seed.
    pub id: MachineId,
    /// What people call it.
    pub name: String,
    /// Its host name.
    pub hostname: String,
    /// What kind it is.
    pub profile: Profile,
    /// Where it lives.
    pub site: Site,
    /// Where its chance comes from.
    pub seed: u64,
}

/// Robots are called by first names, as people do.
const ROBOTS: [&str; 24] = [
    "ada",
    "alan",
    "barbara",
    "edsger",
    "frances",
    "grace",
    "hedy",
    "jean",
    "joan",
    "karen",
    "katherine",
    "leslie",
    "margaret",
    "mary",
    "niklaus",
    "radia",
    "robin",
    "shafi",
    "sophie",
    "susan",
    "tim",
    "tony",
    "vint",
    "whitfield",
];

/// So many machines: the first third of every three is a robot, then a car, then a Pi; each third in another city.
pub(super) fn cast(seed: u64, machines: usize) -> Vec<Role> {
    (0..machines).map(|index| role(seed, index)).collect()
}

fn role(seed: u64, index: usize) -> Role {
    let profile = Profile::ALL[index % Profile::ALL.len()];
    let number = index / Profile::ALL.len();
    let site = Site::ALL[number % Site::ALL.len()];
    let mut random = SplitMix(seed ^ (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let (high, low, own) = (random.next(), random.next(), random.next());
    let bytes = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
    let id = MachineId::from_uuid(uuid::Builder::from_random_bytes(bytes).into_uuid());
    let round = number / ROBOTS.len();
    let name = match profile {
        Profile::Lekiwi if round == 0 => ROBOTS[number].to_owned(),
        Profile::Lekiwi => format!("{}-{}", ROBOTS[number % ROBOTS.len()], round + 1),
        Profile::Car => {
            let town = match site {
                Site::Munich => "M",
                Site::Berlin => "B",
                Site::Oslo => "EL",
            };
            format!("{town}-MU {}", 1_001 + number)
        }
        Profile::Pi => format!("rack-{}-{:02}", &site.as_str()[..3], number / Site::ALL.len() + 1),
    };
    let hostname = name.to_lowercase().replace(' ', "-");
    Role {
        id,
        name,
        hostname,
        profile,
        site,
        seed: own,
    }
}

/// SplitMix64. Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_fleet_and_another_seed_another() {
        let ids = |seed, count| {
            cast(seed, count)
                .into_iter()
                .map(|role| role.id)
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(7, 24), ids(7, 24));
        assert_eq!(
            ids(7, 24),
            ids(7, 99)[..24],
            "a larger fleet holds the smaller one"
        );
        assert!(ids(7, 24).iter().all(|id| !ids(8, 24).contains(id)));
    }

    #[test]
    fn every_kind_and_city_is_there_and_every_name_is_another() {
        let fleet = cast(1, 24);
        for profile in Profile::ALL {
            assert_eq!(fleet.iter().filter(|role| role.profile == *profile).count(), 8);
        }
        for site in Site::ALL {
            assert!(fleet.iter().filter(|role| role.site == *site).count() >= 6);
        }
        let large = cast(1, 10_000);
        assert_eq!(
            large.iter().map(|role| &role.name).collect::<BTreeSet<_>>().len(),
            10_000
        );
        assert_eq!(
            large.iter().map(|role| role.id).collect::<BTreeSet<_>>().len(),
            10_000
        );
    }
}
