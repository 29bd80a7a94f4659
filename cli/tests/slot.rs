//! What holds for programs that run in a slot.

mod lane;

use chameleon_node::slot::Exit;
use lane::Place;

#[tokio::test]
async fn a_program_runs_and_what_it_prints_and_changes_is_held() {
    let place = Place::new();
    std::fs::write(place.path("old"), "old").unwrap();
    std::fs::write(place.path("gone"), "gone").unwrap();
    let mut lane = place.lane();
    let outcome = lane.sh("cat old; echo new > new; rm gone; echo complaint >&2; exit 3").await;
    assert_eq!(outcome.ended.exit, Exit::Code(3));
    assert_eq!(lane.stdout(&outcome), "old");
    assert_eq!(lane.stderr(&outcome), "complaint\n");
    assert_eq!(lane.changed(&outcome), ["- gone", "f new"]);
    assert!(place.path("gone").exists() && !place.path("new").exists());
}

#[tokio::test]
async fn every_execution_starts_from_the_same_state() {
    let place = Place::new();
    let mut lane = place.lane();
    for _ in 0..3 {
        let outcome =
            lane.sh("ls; echo x > made; ls /tmp /dev/shm; echo y > /tmp/y; mkdir -p /tmp/a/b; echo $$; pwd").await;
        let pwd = lane::text(place.run.path());
        let listing = lane.stdout(&outcome);
        assert!(listing.starts_with("/dev/shm:\n\n/tmp:\n"), "{listing}");
        assert!(listing.ends_with(&format!("2\n{pwd}\n")), "{listing}");
        assert_eq!(lane.changed(&outcome), ["f made"]);
    }
}
