//! `${{ ... }}` in workflows, as far as its value can be told from the file: the matrix, `env`, and what the
//! repository is called. Anything else is not known.

use std::collections::BTreeMap;

use super::yaml::Yaml;
use crate::dockerfile::UNKNOWN;

/// The most variables of one `env:` that are looked at.
const MAX_ENV: usize = 500;
/// Of a larger matrix the first jobs are looked at.
const MAX_JOBS: usize = 64;
/// Longer values are not known.
const MAX_VALUE: usize = 4096;

/// The values that are known at one place of a workflow, by what an expression calls them: `matrix.image`.
pub type Values = BTreeMap<String, String>;

/// A text with its expressions replaced, each by its value or by [`UNKNOWN`].
pub fn expand(text: &str, values: &Values) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${{") {
        out.push_str(before);
        let (expression, after) = after.split_once("}}").unwrap_or((after, ""));
        match values.get(&expression.trim().to_lowercase()) {
            Some(value) if out.len() < MAX_VALUE => out.push_str(value),
            _ => out.push(UNKNOWN),
        }
        rest = after;
    }
    out + rest
}

/// The same where all of it is known.
pub fn known(text: &str, values: &Values) -> Option<String> {
    Some(expand(text, values)).filter(|text| !text.contains(UNKNOWN))
}

/// Adds the variables of an `env:` that are known; those that are not hide what an outer one says.
pub fn add_env(of: Option<&Yaml>, values: &mut Values) {
    for (name, value) in of.into_iter().flat_map(Yaml::entries).take(MAX_ENV) {
        let value = value.text().and_then(|text| known(text, values));
        let key = format!("env.{}", name.to_lowercase());
        match value {
            Some(value) => values.insert(key, value),
            None => values.remove(&key),
        };
    }
}

/// The variables of `env:` by their own names, for a shell.
pub fn variables<'a>(sections: impl Iterator<Item = &'a Yaml>, values: &Values) -> BTreeMap<String, String> {
    let names = sections.flat_map(|section| section.entries().map(|(name, _)| name));
    let variable =
        |name: &str| Some((name.to_owned(), values.get(&format!("env.{}", name.to_lowercase()))?.clone()));
    names.filter_map(variable).collect()
}

/// The jobs that a `strategy.matrix` makes, each by the values of its `matrix.` (GitHub, "Running variations of
/// jobs in a workflow"). A matrix that is an expression itself makes one of which nothing is known.
pub fn matrix(of: Option<&Yaml>) -> Vec<Values> {
    let Some(matrix) = of else { return vec![Values::new()] };
    let axes = matrix.entries().filter(|(name, _)| !matches!(*name, "include" | "exclude"));
    let axes: Vec<(&str, &Yaml)> = axes.filter(|(_, value)| matches!(value, Yaml::List(_))).collect();
    let mut jobs = vec![Values::new()];
    for (name, values) in &axes {
        let with = |job: &Values| {
            let job = job.clone();
            values.items().iter().map(move |value| {
                let mut job = job.clone();
                put(&mut job, &format!("matrix.{}", name.to_lowercase()), value, 0);
                job
            })
        };
        jobs = jobs.iter().flat_map(with).take(MAX_JOBS).collect();
    }
    let original = if axes.is_empty() { 0 } else { jobs.len() };
    jobs.truncate(original);
    let included = matrix.get("include").filter(|value| matches!(value, Yaml::List(_)));
    for entry in included.into_iter().flat_map(|list| list.items()).take(MAX_JOBS) {
        let mut values = Values::new();
        put(&mut values, "matrix", entry, 0);
        let is_axis =
            |key: &str| axes.iter().any(|(name, _)| key == format!("matrix.{}", name.to_lowercase()));
        let fits =
            |job: &Values| values.iter().all(|(key, value)| !is_axis(key) || job.get(key) == Some(value));
        let mut fitted = false;
        for job in jobs.iter_mut().take(original).filter(|job| fits(job)) {
            job.extend(values.clone());
            fitted = true;
        }
        if !fitted {
            jobs.push(values);
        }
    }
    if jobs.is_empty() { vec![Values::new()] } else { jobs }
}

/// Puts a value under its name, and the values of a mapping under theirs.
fn put(job: &mut Values, name: &str, value: &Yaml, depth: usize) {
    match value {
        Yaml::Text(text) if !text.contains("${{") && text.len() <= MAX_VALUE => {
            job.insert(name.to_owned(), text.clone());
        }
        Yaml::Map(_) if depth < 4 => {
            for (key, value) in value.entries() {
                put(job, &format!("{name}.{}", key.to_lowercase()), value, depth + 1);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jobs(text: &str) -> Vec<String> {
        let written = |job: Values| {
            job.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
        };
        matrix(Some(&Yaml::parse(text).unwrap())).into_iter().map(written).collect()
    }

    #[test]
    fn a_matrix_makes_the_jobs_that_github_makes_of_it() {
        assert_eq!(jobs("image: [api, web]"), ["matrix.image=api", "matrix.image=web"]);
        assert_eq!(
            jobs("image: [api, web]\ninclude:\n- {image: api, dir: a}\n- {image: job, dir: j}\n- {os: x}"),
            [
                "matrix.dir=a matrix.image=api matrix.os=x",
                "matrix.image=web matrix.os=x",
                "matrix.dir=j matrix.image=job",
            ]
        );
        assert_eq!(jobs("include:\n- {a: 1}\n- {a: 2}"), ["matrix.a=1", "matrix.a=2"]);
        assert_eq!(jobs("image:\n- {name: api, dir: x}"), ["matrix.image.dir=x matrix.image.name=api"]);
        assert_eq!(jobs("${{ fromJSON(needs.x.outputs.y) }}"), [""]);
        assert_eq!(matrix(None).len(), 1);
        let many = "x: [".to_owned() + &"a, ".repeat(300) + "b]\ny: [1, 2, 3]";
        assert_eq!(jobs(&many).len(), MAX_JOBS);
    }

    #[test]
    fn what_is_not_in_the_file_is_not_known() {
        let mut values = Values::from([("matrix.image".to_owned(), "api".to_owned())]);
        add_env(
            Some(&Yaml::parse("NAME: x-${{ matrix.image }}\nSECRET: ${{ secrets.X }}").unwrap()),
            &mut values,
        );
        assert_eq!(known("a/${{ matrix.Image }}:${{env.NAME}}", &values).as_deref(), Some("a/api:x-api"));
        assert_eq!(known("${{ env.SECRET }}", &values), None);
        assert_eq!(expand("a ${{ github.sha }} b ${{", &values), format!("a {UNKNOWN} b {UNKNOWN}"));
    }
}
