//! Every command that README and docs show is one that its program understands.
//!
//! Each `cargo …`, `just …` and `pavane …` in a code block or between backticks is parsed by the program itself, which is asked
//! for its help at the end, so that nothing runs.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Lines that can't be parsed here, each with the reason.
const EXEMPT: [(&str, &str); 3] = [
    ("cargo run -p loyalty", "the reader makes this service"),
    ("cargo run -p pavane-cli -- …", "the arguments are any"),
    ("pavane explain <event>", "a placeholder"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn pages() -> Vec<PathBuf> {
    let root = root();
    let mut pages: Vec<_> =
        ["README.md", "CONTRIBUTING.md", "SECURITY.md"].iter().map(|page| root.join(page)).collect();
    let mut open = vec![root.join("docs")];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages
}

/// The lines of code blocks, and what stands between backticks elsewhere.
fn snippets(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (index, part) in text.split("```").enumerate() {
        if index % 2 == 1 {
            found.extend(part.lines().skip(1).map(str::to_owned));
        } else {
            found.extend(part.split('`').skip(1).step_by(2).map(|code| code.replace('\n', " ")));
        }
    }
    found
}

/// The commands of a snippet, without prompt, variables and comment: `A=1 cargo x && cargo y  # why` has two.
fn commands(snippet: &str) -> Vec<String> {
    let code = snippet.split("  #").next().unwrap().split(" # ").next().unwrap();
    let code = code.trim().trim_start_matches("$ ");
    let bare = |part: &str| {
        let mut words = part.trim();
        while let Some((first, rest)) = words.split_once(' ')
            && first.contains('=')
            && first.chars().next().is_some_and(|c| c.is_ascii_uppercase())
        {
            words = rest.trim();
        }
        words.to_owned()
    };
    // `pavane = …` is a line of a manifest.
    let is_command = |part: &String| {
        let (program, rest) = part.split_once(' ').unwrap_or_default();
        ["cargo", "just", "pavane"].contains(&program) && !rest.starts_with('=')
    };
    code.split("&&").map(bare).filter(is_command).collect()
}

/// Splits as a shell does, as far as our pages go: single quotes keep words together.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in command.split('\'').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// What the aliases and recipes stand for, and the programs and packages that are there.
struct Known {
    aliases: Vec<(String, String)>,
    recipes: Vec<(String, String)>,
    packages: BTreeSet<String>,
    targets: BTreeSet<String>,
    programs: PathBuf,
}

impl Known {
    fn read() -> Self {
        let config = fs::read_to_string(root().join(".cargo/config.toml")).unwrap();
        let alias = |line: &str| {
            let (name, stands_for) = line.split_once(" = ")?;
            Some((name.to_owned(), stands_for.trim_matches('"').to_owned()))
        };
        let aliases = config.lines().filter_map(alias).collect();
        let justfile = fs::read_to_string(root().join("justfile")).unwrap();
        let is_recipe = |line: &&str| line.ends_with(':') && line.starts_with(|c: char| c.is_ascii_lowercase());
        let recipe = |line: &str| {
            let name = line.split([' ', ':']).next().unwrap();
            let body = justfile.split(line).nth(1).unwrap().lines().nth(1).unwrap().trim();
            (name.to_owned(), body.to_owned())
        };
        let recipes = justfile.lines().filter(is_recipe).map(recipe).collect();
        let (packages, targets) = members();
        let this = env::current_exe().unwrap();
        let programs = this.ancestors().skip(1).find(|folder| !folder.ends_with("deps")).unwrap().to_owned();
        Self { aliases, recipes, packages, targets, programs }
    }

    fn check(&self, command: &str) -> Result<(), String> {
        let words = words(command);
        let (program, rest) = words.split_first().unwrap();
        match program.as_str() {
            "pavane" => self.asks("pavane", rest),
            "just" => self.check_recipe(rest),
            _ => self.check_cargo(rest),
        }
    }

    fn check_recipe(&self, words: &[String]) -> Result<(), String> {
        let Some((name, arguments)) = words.split_first() else { return Ok(()) };
        let recipe = self.recipes.iter().find(|(known, _)| known == name);
        let (_, body) = recipe.ok_or_else(|| format!("the justfile has no recipe {name}"))?;
        let body = body.replace("{{ arguments }}", &arguments.join(" "));
        if body.starts_with("cargo ") { self.check(&body) } else { Ok(()) }
    }

    fn check_cargo(&self, words: &[String]) -> Result<(), String> {
        let alias = self.aliases.iter().find(|(name, _)| words.first() == Some(name));
        let all = match alias {
            Some((_, stands_for)) => {
                stands_for.split(' ').map(str::to_owned).chain(words.iter().skip(1).cloned()).collect()
            }
            None => words.to_vec(),
        };
        let (own, passed) = split(&all);
        run(Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into())).args(own).arg("--help"))?;
        let mut program = None;
        for pair in own.windows(2) {
            let (known, name) = (&pair[0], &pair[1]);
            match known.as_str() {
                "-p" | "--package" if !self.packages.contains(name) => return Err(format!("no package {name}")),
                "-p" | "--package" => program = program.or(Some(name.as_str())),
                "--bin" => program = Some(name),
                "--example" if !self.targets.contains(name) => return Err(format!("no example {name}")),
                // An example reads its arguments itself, if it takes any.
                "--example" => return Ok(()),
                _ => {}
            }
        }
        match program.filter(|_| own.first().is_some_and(|verb| verb == "run")) {
            Some("xtest") => self.check_cargo(&[&["test".to_owned()], passed].concat()),
            Some("pavane-cli") => self.asks("pavane", passed),
            Some(program) => self.asks(program, passed),
            None => Ok(()),
        }
    }

    /// Has the program parse its arguments, and then ask for help instead of running.
    fn asks(&self, program: &str, arguments: &[String]) -> Result<(), String> {
        run(Command::new(self.programs.join(program)).args(arguments).arg("--help"))
    }
}

/// What is Cargo's, and what it passes on: what follows two dashes and, for `run`, the first word that belongs to no option.
fn split(words: &[String]) -> (&[String], &[String]) {
    const WITH_VALUE: [&str; 4] = ["-p", "--package", "--bin", "--example"];
    let is_run = words.first().is_some_and(|verb| verb == "run");
    let passes_on = |(place, word): (usize, &String)| {
        let is_value = place == 0 || WITH_VALUE.contains(&words[place - 1].as_str());
        word == "--" || is_run && !is_value && !word.starts_with('-')
    };
    let Some(end) = words.iter().enumerate().position(passes_on) else { return (words, &[]) };
    let passed = if words[end] == "--" { end + 1 } else { end };
    (&words[..end], &words[passed..])
}

fn run(command: &mut Command) -> Result<(), String> {
    let ran = command.output().map_err(|error| format!("{command:?}: {error}; `cargo xtest` builds the programs"))?;
    if ran.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&ran.stderr).into_owned()) }
}

/// The workspace's packages, and their programs and examples.
fn members() -> (BTreeSet<String>, BTreeSet<String>) {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let ran = cargo.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(root()).output().unwrap();
    let metadata: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let name = |it: &Value| it["name"].as_str().unwrap().to_owned();
    let targets = packages.iter().flat_map(|package| package["targets"].as_array().unwrap());
    (packages.iter().map(name).collect(), targets.map(name).collect())
}

#[test]
fn every_command_that_the_docs_show_is_understood() {
    let known = Known::read();
    let (mut seen, mut wrong) = (BTreeSet::new(), Vec::new());
    for page in pages() {
        for command in snippets(&fs::read_to_string(&page).unwrap()).iter().flat_map(|snippet| commands(snippet)) {
            let placeholder = command.contains(['<', '…']);
            let exempt = EXEMPT.iter().any(|(line, _)| command == *line);
            if exempt || !seen.insert(command.clone()) {
                continue;
            }
            let command = if placeholder { command.replace(['<', '>'], "") } else { command };
            if let Err(why) = known.check(&command) {
                wrong.push(format!("{}: {command}: {why}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen.len() > 30, "only {seen:?}");
}

#[test]
fn a_command_that_its_program_does_not_understand_is_noticed() {
    let known = Known::read();
    for wrong in [
        "cargo demo --order 2",
        "cargo demo -- --order 2",
        "cargo nothing",
        "cargo run -p nobody",
        "cargo run --example nothing",
        "just nothing",
        "just demo --order 2",
        "pavane dead-letter list",
        "cargo xbench --wrote",
        "cargo xtest --no-such-option",
    ] {
        known.check(wrong).expect_err(wrong);
    }
}

#[test]
fn what_follows_the_short_names_may_have_two_dashes_before_it() {
    let known = Known::read();
    for command in ["cargo demo --keep", "cargo demo -- --keep", "cargo xbench --smoke", "cargo xbench -- --smoke"] {
        known.check(command).unwrap();
    }
}
