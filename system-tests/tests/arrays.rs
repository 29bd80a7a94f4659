//! Arrays of many tasks: little memory, and once more what failed.

use std::fs;

use chameleon_system_tests::Trial;

fn kib(pid: i32, field: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap().split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn only_the_tasks_that_failed_are_submitted_once_more_with_the_stages_behind() {
    let trial = Trial::new();
    let system = trial.stand(1);
    let text = "[job]\nname = \"t\"\nstrategy = \"dual\"\n\
        [[stage]]\nname = \"first\"\ncommand = [\"sh\", \"-c\", \"echo once >> ran\"]\n\
        [[stage]]\nname = \"many\"\ntasks = \"0..40\"\n\
        command = [\"sh\", \"-c\", 'echo {task} > part-{task}; echo task {task}; test $(({task} % 9)) -ne 4 -o -e mended']\n\
        [[stage]]\nname = \"last\"\ncommand = [\"sh\", \"-c\", 'cat part-* | wc -l']\n";
    let ended = system.submit_and_wait(text).exits(1);
    let id = ended.out().trim().to_owned();
    assert_eq!(trial.read("ran"), b"once\n");
    trial.write("mended", "");
    let again = system.command(&["submit", "--wait", "--from", &id, "--filter", "failed"]).run().exits(0);
    let result = system.command(&["result", again.out().trim()]).run().exits(0).out();
    assert_eq!(result, "task 4\ntask 13\ntask 22\ntask 31\n40\n");
    assert_eq!(trial.read("ran"), b"once\n", "what ran before is done");
    let nothing = system.command(&["submit", "--from", again.out().trim(), "--filter", "failed"]).run().exits(125);
    assert!(nothing.err().contains("no failed task"), "{}", nothing.err());
    let whole = system.command(&["submit", "--wait", "--from", &id]).run().exits(0);
    assert_eq!(system.command(&["result", whole.out().trim()]).run().exits(0).out().lines().count(), 41);
    system.down();
}

#[test]
fn ten_thousand_tasks_take_hardly_more_memory_than_a_hundred() {
    let trial = Trial::new();
    let system = trial.stand(1);
    let most = |tasks: u64| -> u64 {
        let text = format!(
            "[job]\nname = \"t\"\nstrategy = \"single\"\n[[stage]]\nname = \"s\"\nfiles = \"none\"\n\
             tasks = \"0..{tasks}\"\ncommand = [\"echo\", \"{{task}}\"]\n[[stage]]\nname = \"look\"\nfiles = \"none\"\n\
             command = [\"sleep\", \"2\"]\n"
        );
        let id = system.submit(&text);
        let armors = chameleon_system_tests::eventually("the last stage", std::time::Duration::from_secs(300), || {
            let events = system.command(&["events", &id, "--json"]).run().exits(0).out();
            events.contains("stage s1 began").then(|| system.armors())
        });
        let of_job = armors.iter().filter(|armor| armor.job.as_deref() == Some(&id) && armor.pid > 0);
        let most = of_job.map(|armor| kib(armor.pid, "VmHWM")).max().expect("they run");
        let row = system.await_end(&id);
        assert_eq!(row["state"], "result", "{row}");
        let result = system.command(&["result", &id]).run().exits(0).out();
        assert_eq!(result.lines().count() as u64, tasks);
        most
    };
    let (few, many) = (most(100), most(10_000));
    assert!(many < few + (12 << 10), "{few} KiB with a hundred, {many} KiB with ten thousand");
    system.down();
}
