//! Reading a workload of 3 KB: what the tree and its marks cost beside the events alone.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use stagegate_core::FileId;
use stagegate_manifest::{Format, Profile, Sources, decode, load};

const MANIFEST: &str =
    include_str!("../../../testdata/repos/shop/environments/prod/worker/deployment.yaml");

fn read(c: &mut Criterion) {
    let sources = Sources::new();
    let file = sources.add("worker.yaml".to_owned(), decode(MANIFEST.into()));
    let source = sources.get(file).unwrap();
    let json =
        serde_json::to_string(&load(file, &source, Format::Yaml, Profile::Apply).documents[0]);
    let json_file = sources.add("worker.json".to_owned(), decode(json.unwrap().into()));
    let json = sources.get(json_file).unwrap();

    let mut group = c.benchmark_group("read");
    group.throughput(Throughput::Bytes(MANIFEST.len() as u64));
    group.bench_function("events alone", |b| {
        b.iter(|| {
            granit_parser::Parser::new_from_str(MANIFEST)
                .map(Result::unwrap)
                .count()
        });
    });
    group.bench_function("yaml", |b| {
        b.iter(|| load(FileId(0), &source, Format::Yaml, Profile::Apply));
    });
    group.bench_function("json with marks", |b| {
        b.iter(|| load(FileId(1), &json, Format::Json, Profile::Apply));
    });
    group.bench_function("serde_json without marks", |b| {
        b.iter(|| serde_json::from_str::<serde_json::Value>(&json.text).unwrap());
    });
    group.finish();
}

criterion_group!(benches, read);
criterion_main!(benches);
