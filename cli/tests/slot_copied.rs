//! What holds for programs that run in a copy of the run directory, where there are no namespaces. Most of what holds in
//! a slot holds there too: `cargo xtask check` runs the tests of `slot.rs` again with `CHAMELEON_FACILITIES=posix`.

mod lane;

use chameleon_core::job::Files;
use chameleon_node::os::facilities::Facilities;
use chameleon_node::slot::{Exit, Slot, SlotError, SlotEvent, SlotSpec};
use lane::{Lane, Place};

fn copied(place: &Place) -> SlotSpec {
    SlotSpec { facilities: Some(Facilities::Posix), ..place.spec() }
}

#[tokio::test]
async fn what_a_program_does_to_its_copy_is_held_and_it_is_told_that_nothing_else_is() {
    let place = Place::new();
    std::fs::write(place.path("old"), "old").unwrap();
    let mut lane = Lane::open(copied(&place));
    let told = lane.slot.next().await;
    assert!(matches!(&told, SlotEvent::Unconfined { why } if why.contains("POSIX")), "{told:?}");
    for _ in 0..2 {
        let outcome = lane.sh("cat old; echo new > new; rm old; sleep 1000 & exit 3").await;
        assert_eq!((outcome.ended.exit, lane.stdout(&outcome).as_str()), (Exit::Code(3), "old"));
        assert_eq!(lane.changed(&outcome), ["f new", "- old"]);
        assert!(place.path("old").exists() && !place.path("new").exists());
    }
}

#[tokio::test]
async fn nothing_is_written_to_the_run_directory_however_its_files_are_treated() {
    for files in [Files::Scratch, Files::None] {
        let place = Place::new();
        let mut lane = Lane::open(SlotSpec { files, ..copied(&place) });
        let outcome = lane.sh("echo x > made; cat made").await;
        assert_eq!(lane.stdout(&outcome), "x\n");
        assert_eq!(outcome.ended.changes, None);
        assert!(!place.path("made").exists());
    }
}

#[tokio::test]
async fn what_a_copy_cannot_hold_or_show_is_refused_by_name() {
    let (place, other) = (Place::new(), lane::folder(None));
    let refused = |spec: SlotSpec| Slot::open(&spec).err().map(|error| error.to_string()).unwrap_or_default();
    let output = SlotSpec { outputs: vec![other.path().to_owned()], ..copied(&place) };
    let why = refused(output.clone());
    assert!(why.contains(lane::text(other.path())) && why.contains("facilities = \"linux\""), "{why}");
    assert!(Slot::open(&SlotSpec { facilities: Some(Facilities::Linux), ..output }).is_ok());
    let unfit = Slot::open(&SlotSpec { directory: "/proc".into(), ..copied(&place) });
    assert!(matches!(unfit.err(), Some(SlotError::System { .. })));
}

#[tokio::test]
async fn a_copy_that_would_lie_in_itself_is_refused() {
    let place = Place::new();
    let mut lane = Lane::open(SlotSpec { work: place.path("inside"), ..copied(&place) });
    let lost = loop {
        match lane.slot.next().await {
            SlotEvent::Unconfined { .. } => {}
            other => break other,
        }
    };
    assert!(matches!(&lost, SlotEvent::Lost { why } if why.contains("in itself")), "{lost:?}");
}
