//! `chameleon strategies`: what there is to choose from, and what each does.

use std::path::Path;

use chameleon_core::strategy::library::{self, NotFound};
use chameleon_core::strategy::{Order, Strategy};
use chameleon_core::word::Word;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::screen;
use crate::system::Place;

#[derive(Debug, clap::Args)]
pub struct Strategies {
    /// Only this one: a name, or a file ending in .toml, which is checked
    name: Option<String>,
    /// Print the text of a shipped strategy, to copy and change
    #[arg(long, requires = "name")]
    text: bool,
    /// An array of objects with stable keys
    #[arg(long, conflicts_with = "text")]
    json: bool,
}

impl Strategies {
    pub fn execute(self, _place: &Place) -> Result<u8, Failure> {
        if let (true, Some(name)) = (self.text, &self.name) {
            let text = library::text(name).ok_or_else(|| Failure::Asked(format!("no shipped strategy is called {name:?}")))?;
            screen::print(text.trim_end())?;
            return Ok(0);
        }
        let strategies = self.name.as_deref().map_or_else(|| Ok(library::all()), |name| Ok(vec![find(name)?]))?;
        match self.json {
            true => screen::print_json(&Value::Array(strategies.iter().map(json_of).collect()))?,
            false => screen::print(&strategies.iter().map(text_of).collect::<Vec<_>>().join("\n\n"))?,
        }
        Ok(0)
    }
}

/// The strategy of this name, or in this file.
///
/// # Errors
/// There is none, or its file is refused.
pub fn find(name: &str) -> Result<Strategy, Failure> {
    let found = library::find(name, &|path| std::fs::read(Path::new(path)).map_err(|why| why.to_string()));
    found.map_err(|why| match why {
        NotFound::Refused(refusal) => Failure::Text(Box::new(refusal)),
        NotFound::Unknown(_) | NotFound::Unreadable { .. } => Failure::Asked(why.to_string()),
    })
}

fn text_of(strategy: &Strategy) -> String {
    let rungs = strategy.explain().into_iter().map(|rung| format!("    - {rung}"));
    let about = (!strategy.about.is_empty()).then(|| format!("    {}", strategy.about));
    [strategy.name.clone()].into_iter().chain(about).chain(rungs).collect::<Vec<_>>().join("\n")
}

pub fn json_of(strategy: &Strategy) -> Value {
    let redundancy = strategy.redundancy;
    json!({
        "name": strategy.name,
        "about": strategy.about,
        "replicas": redundancy.replicas,
        "quorum": redundancy.quorum,
        "order": Order::word(redundancy.order),
        "extend_to": strategy.extend_to,
        "restart_limit": strategy.restart.limit,
        "explanation": strategy.explain(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_strategy_is_explained() {
        insta::assert_snapshot!(text_of(&find("tmr").unwrap()), @r#"
        tmr
            three lanes, two must agree: masks one wrong lane, and more by adding lanes
            - 3 lanes side by side, 2 must agree
            - a lane that crashes is restarted up to 3 times a task, at once
            - a dissenting lane and a winner repeat the task 3 times before anyone is accused
            - on disagreement lanes are added, up to 5, of which 3 must agree
            - if that is lost, once: up to 7 lanes one after another, until the vote is decided, 4 must agree
            - after that no result: a safe abort with the evidence
        "#);
        insta::assert_snapshot!(json_of(&find("single").unwrap()).to_string(), @r#"{"about":"one execution, never restarted: notices a crash, masks nothing","explanation":["one lane","a crash is not retried","nothing is compared: a wrong result that ends normally goes unnoticed"],"extend_to":1,"name":"single","order":"space","quorum":1,"replicas":1,"restart_limit":0}"#);
    }

    #[test]
    fn a_wrong_name_names_the_nearest_right_one() {
        let error = find("tmrr").unwrap_err().to_string();
        assert!(error.contains("did you mean \"tmr\"?"), "{error}");
    }

    #[test]
    fn a_wrong_file_is_refused_with_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mine.toml");
        std::fs::write(&path, "about = \"mine\"\nreplicas = 3\nquorum = 4\n").unwrap();
        let Failure::Text(refusal) = find(path.to_str().unwrap()).unwrap_err() else { panic!("refused as a text") };
        assert_eq!(refusal.line(&refusal.problems()[0]), 3);
    }
}
