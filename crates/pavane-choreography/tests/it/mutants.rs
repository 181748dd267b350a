//! Every choreography with one thing less, and what notices that.

use pavane_choreography::{Choreography, Finding, JoinPart, Manifest, Reaction, Role};

/// Every choreography with one thing less, and what is missing.
pub(crate) fn mutants(whole: &Choreography) -> Vec<(String, Choreography)> {
    let mut mutants = Vec::new();
    for (at, manifest) in whole.manifests().iter().enumerate() {
        let mut mutant = |what: String, change: &dyn Fn(&mut Manifest)| {
            let mut manifests = whole.manifests().to_vec();
            change(&mut manifests[at]);
            let less = Choreography::of(manifests).saga(whole.sagas()[0].clone());
            mutants.push((format!("{}: {what}", manifest.service), less));
        };
        for (ix, entry) in manifest.entries.iter().enumerate().skip_while(|(_, entry)| entry.answers.is_none()) {
            mutant(format!("the entry point {}", entry.name), &|it| drop(it.entries.remove(ix)));
            mutant(format!("the question of {}", entry.name), &|it| it.entries[ix].answers = None);
            mutant(format!("the expiry of {}", entry.name), &|it| {
                it.entries[ix].answers.as_mut().unwrap().expires_with = None;
            });
        }
        for (ix, entry) in manifest.entries.iter().enumerate().filter(|(_, entry)| entry.emits.len() > 1) {
            mutant(format!("the timer of {}", entry.name), &|it| drop(it.entries[ix].emits.pop()));
        }
        for (ix, reaction) in manifest.reactions.iter().enumerate() {
            let name = &reaction.name;
            mutant(name.clone(), &|it| drop(it.reactions.remove(ix)));
            for (part, one) in reaction.parts().iter().enumerate() {
                mutant(format!("the part {} of {name}", one.name()), &|it| remove_part(&mut it.reactions[ix], part));
            }
            if reaction.is_per_item() {
                mutant(format!("for each item of {name}"), &|it| it.reactions[ix].role = Role::React);
            }
            for (part, one) in reaction.parts().iter().enumerate().filter(|(_, one)| matches!(one, JoinPart::Every(_)))
            {
                mutant(format!("every of {} of {name}", one.name()), &|it| {
                    let Role::Join { of } = &mut it.reactions[ix].role else { unreachable!("only joins have parts") };
                    of[part] = JoinPart::OneOf(one.events().to_vec());
                });
            }
            for (on, event) in reaction.on.iter().enumerate().filter(|_| reaction.parts().is_empty()) {
                mutant(format!("the trigger {} of {name}", event.name), &|it| drop(it.reactions[ix].on.remove(on)));
            }
            for group in 0..if reaction.emits.len() > 1 { reaction.emits.len() } else { 0 } {
                let what = format!("{} from {name}", reaction.emits[group].events()[0].name);
                mutant(what, &|it| drop(it.reactions[ix].emits.remove(group)));
            }
        }
    }
    mutants
}

fn remove_part(join: &mut Reaction, part: usize) {
    let Role::Join { of } = &mut join.role else { unreachable!("only joins have parts") };
    let removed = of.remove(part);
    join.on.retain(|event| !removed.events().contains(event));
}

/// What is noticed of each thing that is missing.
pub(crate) fn noticed(whole: &Choreography) -> String {
    let told = mutants(whole).into_iter().map(|(what, less)| {
        let finding = |found: Finding| {
            let at = found.event.map_or(found.reaction, |event| event.name);
            format!("{} ({at})", found.rule.message())
        };
        let rules: Vec<String> = less.check().into_iter().map(finding).collect();
        let wrong = less.explore(&less.sagas()[0]).err().map(|violation| violation.kind.to_string());
        assert!(!rules.is_empty() || wrong.is_some(), "nothing notices that this is missing: {what}");
        format!("{what}\n  checks: {}\n  model:  {}\n", rules.join("; "), wrong.unwrap_or_default())
    });
    told.collect()
}
