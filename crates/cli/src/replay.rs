//! Recorded AdmissionReviews, answered as the webhook would without a cluster.

use std::path::{Path, PathBuf};

use serde::Serialize;
use stagegate_admission::{AdmissionRequest, DecodeError, Judgement, judge, respond};
use stagegate_core::{Engine, Limits, Stage};
use stagegate_report::printable;

use crate::args::{Replay, TableFormat};
use crate::commands::today;
use crate::error::Error;
use crate::online::{Online, Typed};
use crate::output::{tell, to_stdout};

/// A review and what it was answered.
#[derive(Serialize)]
struct Answered {
    file: String,
    response: serde_json::Value,
}

/// Runs the command; gives its exit code.
pub(crate) fn run(replay: &Replay) -> Result<u8, Error> {
    let typed = Typed {
        config: replay.config.clone(),
        brought: replay.brought.clone(),
        stage: replay.stage.clone(),
    };
    let Online {
        engine,
        stage,
        not_judged,
    } = Online::load(&typed)?;
    for failure in &not_judged {
        tell(&printable(&format!(
            "error: {}: {}",
            failure.path, failure.message
        )));
    }
    let digest = engine.digest();
    let limits = Limits {
        today: Some(replay.today.unwrap_or_else(today)),
        ..Limits::default()
    };
    let files = files(&replay.path)?;
    if files.is_empty() {
        let path = replay.path.display();
        return Err(Error::Usage(format!("there is no .json file in {path}")));
    }
    let mut code = if not_judged.is_empty() { 0 } else { 2 };
    let mut answered = Vec::new();
    let mut lines = Vec::new();
    for file in &files {
        let name = file.strip_prefix(&replay.path).unwrap_or(file);
        let name = if name.as_os_str().is_empty() {
            file
        } else {
            name
        };
        let name = name.to_string_lossy().into_owned();
        match answer(&engine, file, stage.as_ref(), &limits)? {
            Ok((request, judgement)) => {
                if !judgement.verdict.allowed && code == 0 {
                    code = 1;
                }
                let response = respond(&request, &judgement, &digest);
                lines.push(line(&name, &request, &judgement, &response));
                answered.push(Answered {
                    file: name,
                    response,
                });
            }
            Err(error) => {
                code = 2;
                tell(&printable(&format!("error: {name}: {error}")));
            }
        }
    }
    to_stdout(|out| match replay.format {
        TableFormat::Text => {
            for line in &lines {
                writeln!(out, "{line}")?;
            }
            let denied = answered
                .iter()
                .filter(|a| a.response["response"]["allowed"] == false)
                .count();
            writeln!(
                out,
                "{} reviews, {denied} denied, policies {digest}",
                answered.len()
            )
        }
        TableFormat::Json => {
            serde_json::to_writer_pretty(&mut *out, &answered)?;
            writeln!(out)
        }
    })?;
    Ok(code)
}

fn answer(
    engine: &Engine,
    file: &Path,
    stage: Option<&Stage>,
    limits: &Limits<'_>,
) -> Result<Result<(AdmissionRequest, Judgement), DecodeError>, Error> {
    let body = std::fs::read(file).map_err(|source| Error::Read {
        path: file.to_owned(),
        source,
    })?;
    Ok(AdmissionRequest::decode(&body).map(|request| {
        let judgement = judge(engine, &request, stage, None, limits);
        (request, judgement)
    }))
}

/// The files to answer, sorted.
fn files(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let error = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    if !path.metadata().map_err(error)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(error)? {
        let entry = entry.map_err(error)?.path();
        if entry.extension().is_some_and(|e| e == "json") && entry.is_file() {
            files.push(entry);
        }
    }
    files.sort();
    Ok(files)
}

/// `denied  001-create.json  CREATE ConfigMap shop/settings: why`
fn line(
    name: &str,
    request: &AdmissionRequest,
    judgement: &Judgement,
    response: &serde_json::Value,
) -> String {
    let verdict = if judgement.verdict.allowed {
        "allowed"
    } else {
        "denied "
    };
    let object = request.object.as_ref().or(request.old_object.as_ref());
    let what = object.map_or_else(String::new, |o| o.reference.to_string());
    let stage = &judgement.stage.stage.name;
    let by = if judgement.stage.is_named {
        ""
    } else {
        ", which no stage names"
    };
    let mut text = format!(
        "{verdict}  {name}  {} {what} in {stage}{by}",
        request.operation
    );
    let response = &response["response"];
    let message = response["status"]["message"].as_str();
    let told = message
        .into_iter()
        .flat_map(str::lines)
        .map(|line| format!("deny: {line}"))
        .chain(texts(&response["warnings"]).map(|text| format!("warn: {text}")))
        .chain(
            response["auditAnnotations"]["findings"]
                .as_str()
                .map(|text| format!("audit: {text}")),
        );
    for text_of_one in told {
        text.push_str("\n    ");
        text.push_str(&printable(&text_of_one));
    }
    text
}

fn texts(list: &serde_json::Value) -> impl Iterator<Item = &str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(serde_json::Value::as_str)
}
