//! What tells the images of a matrix, and of several callers, apart: a part of their names.

use std::collections::BTreeSet;

use super::RepositoryTree;
use super::build::ImageBuildStep;
use super::name::{is_word, unique, variable_of, variables};
use super::workflow::{Host, Hosts};
use super::yaml::YamlNode;

/// Most calls that are followed.
const MAX_CALLS: usize = 50;

/// Variables that change together, each with its values.
struct Axis {
    /// How many images it makes; unknown, and 0, for an expression.
    count: usize,
    variables: Vec<(String, Vec<String>)>,
}

impl Axis {
    /// The variables of a list of scalars or of mappings.
    fn new(name: &str, items: &[&YamlNode]) -> Axis {
        let values = |of: &dyn Fn(&YamlNode) -> Option<String>| {
            items.iter().map(|item| of(item).unwrap_or_default()).collect::<Vec<_>>()
        };
        let keys = items.first().map(|item| &item.entries[..]).unwrap_or_default();
        let inner = keys.iter().filter_map(|(key, _)| key.text());
        let of_key = |key| (format!("{name}.{key}"), values(&|item| item.text_of(key).map(str::to_owned)));
        let mut variables: Vec<_> = inner.map(of_key).collect();
        if variables.is_empty() {
            variables.push((name.to_owned(), values(&|item| item.text.clone())));
        }
        Axis { count: items.len(), variables }
    }

    /// The variables of a matrix: of each of its keys, else of the rows below `include`.
    fn of_matrix(matrix: &YamlNode) -> Vec<Axis> {
        let rows = matrix.get("include").map(|rows| &rows.items[..]).unwrap_or_default();
        let of_key = |(key, list): &(YamlNode, YamlNode)| {
            let key = key.text().filter(|key| !["include", "exclude"].contains(key))?;
            let is_new = |value: &&YamlNode| !list.items.iter().any(|item| item.text == value.text);
            let more = rows.iter().filter_map(|row| row.get(key)).filter(is_new);
            let items: Vec<&YamlNode> = list.items.iter().chain(more).collect();
            Some(Axis::new(&format!("matrix.{key}"), &items))
        };
        let axes: Vec<Axis> = matrix.entries.iter().filter_map(of_key).collect();
        let of_rows = || vec![Axis::new("matrix", &rows.iter().collect::<Vec<_>>())];
        if axes.is_empty() { of_rows() } else { axes }
    }

    /// Whether no two of its images have the same values of these variables.
    fn is_told_by(&self, names: &[&String], more: &[String]) -> bool {
        let is_one = |(name, _): &&(String, Vec<String>)| names.contains(&name) || more.contains(name);
        let columns: Vec<&Vec<String>> =
            self.variables.iter().filter(is_one).map(|(_, values)| values).collect();
        let row = |row: usize| columns.iter().map(|values| values.get(row)).collect::<Vec<_>>();
        self.count > 0 && (0..self.count).map(row).collect::<BTreeSet<_>>().len() == self.count
    }

    /// What tells the runs of a host's steps apart: its matrix, the inputs of its callers, the matrix of each of these.
    fn of_host(host: &Host<'_>, hosts: &Hosts<'_>, budget: &mut usize) -> Vec<Axis> {
        let matrix = host.get("strategy").and_then(|strategy| strategy.get("matrix"));
        let mut axes = matrix.map(Axis::of_matrix).unwrap_or_default();
        let none = YamlNode::default();
        let calls: Vec<_> = hosts
            .callers(host.file)
            .map(|(caller, call)| (caller, call.get("with").unwrap_or(&none)))
            .collect();
        let given: Vec<&YamlNode> = calls.iter().map(|(_, inputs)| *inputs).collect();
        let own = Axis::new("inputs", &given);
        axes.push(Axis { count: if hosts.are_together(host) { own.count } else { 1 }, ..own });
        for (caller, inputs) in calls {
            let Some(left) = budget.checked_sub(1) else { break };
            *budget = left;
            // An input that is a variable of the caller and nothing else has its values.
            let input_of = |variable: &str| {
                let is_it =
                    |(_, value): &&(YamlNode, YamlNode)| value.text().and_then(variable_of) == Some(variable);
                inputs.entries.iter().find(is_it)?.0.text()
            };
            for mut outer in Axis::of_host(caller, hosts, budget) {
                let own = std::mem::take(&mut outer.variables).into_iter();
                let own =
                    own.filter_map(|(name, values)| Some((format!("inputs.{}", input_of(&name)?), values)));
                axes.push(Axis { variables: own.collect(), ..outer });
            }
        }
        axes
    }
}

/// Gives each image of a build a name of its own, with what tells the jobs of a matrix and the callers of a reusable
/// workflow apart. Only values that can be part of a file's name can be part of an image's; a report has the platform.
pub fn assign(
    build: &mut ImageBuildStep<'_>,
    hosts: &Hosts<'_>,
    tree: &RepositoryTree<'_>,
    taken: &mut BTreeSet<String>,
) -> Result<(), &'static str> {
    let mut budget = MAX_CALLS;
    let axes = Axis::of_host(build.host, hosts, &mut budget);
    let used: Vec<String> = build.node.texts().into_iter().flat_map(variables).collect();
    let mut platforms = variables(build.node.input("platforms"));
    // Jobs that call it have artifacts of the same name.
    platforms.retain(|variable| variable.starts_with("matrix."));
    let fit = |values: &[String]| !values.is_empty() && values.iter().all(|value| is_word(value));
    let fits = |variable: &String| {
        axes.iter().flat_map(|axis| &axis.variables).any(|(own, values)| own == variable && fit(values))
    };
    for image in &mut build.found.images {
        if !variables(&image.name).iter().all(fits) {
            image.name = tree.name_of(image.dockerfile.as_deref());
        }
        for axis in axes.iter().filter(|axis| axis.count != 1) {
            let has = [variables(&image.name), platforms.clone()].concat();
            let words = axis.variables.iter().filter(|(name, values)| !has.contains(name) && fit(values));
            let mut words: Vec<&String> = words.map(|(name, _)| name).collect();
            words.sort_by_key(|name| !used.contains(name));
            // None, one or all of them.
            let mut choices = [&words[..0]].into_iter().chain(words.chunks(1)).chain([&words[..]]);
            let told = choices.find(|names| axis.is_told_by(names, &has));
            for name in
                told.ok_or("no literal matrix value or input tells its images apart; add the steps by hand")?
            {
                image.name += &format!("-${{{{ {name} }}}}");
            }
        }
        image.name = unique(image, taken);
    }
    Ok(())
}
