//! The bus carries, and says what it lost.

use muster_store::{Bus, LocalBus};

#[test]
fn carries_in_order_and_counts_what_is_lost() {
    let bus = LocalBus::new(4);
    assert_eq!(bus.publish(0), 0);
    let mut quick = bus.subscribe();
    let mut slow = bus.clone().subscribe();
    for number in 1..=10 {
        assert_eq!(bus.publish(number), 2);
        assert_eq!(quick.try_next(), Some(number));
    }
    assert_eq!(slow.waiting(), 10);
    let rest: Vec<_> = std::iter::from_fn(|| slow.try_next()).collect();
    assert_eq!(rest, [7, 8, 9, 10]);
    assert_eq!((slow.dropped(), quick.dropped(), bus.dropped()), (6, 0, 6));
}

#[tokio::test]
async fn ends_with_the_bus() {
    let bus = LocalBus::new(4);
    let mut listener = bus.subscribe();
    bus.publish("last");
    drop(bus);
    assert_eq!(listener.next().await, Some("last"));
    assert_eq!(listener.next().await, None);
}
