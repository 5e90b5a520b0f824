//! One mistake, one finding: a base that four overlays share is wrong once.

use std::collections::HashMap;

use stagegate_core::Stage;

use crate::locate::{Identity, Located};
use crate::report::FindingReport;

/// Merges equal findings; `stages` are in the order of promotion, and so are those that `found`
/// come from.
pub(crate) fn merge(found: Vec<Located>, stages: &[&Stage]) -> Vec<FindingReport> {
    let mut index: HashMap<Identity, usize> = HashMap::new();
    let mut merged: Vec<(String, FindingReport)> = Vec::new();
    for Located { identity, report } in found {
        match index.get(&identity) {
            Some(&i) => {
                let (_, earlier) = &mut merged[i];
                let mut stages = std::mem::take(&mut earlier.stages);
                let related = std::mem::take(&mut earlier.related);
                if stages.last() != Some(&report.stage) {
                    stages.push(report.stage.clone());
                    // The object is that of the last stage in the order of promotion.
                    *earlier = report;
                }
                earlier.stages = stages;
                for place in related {
                    if !earlier.related.contains(&place) {
                        earlier.related.push(place);
                    }
                }
            }
            None => {
                index.insert(identity.clone(), merged.len());
                merged.push((identity.key.clone(), report));
            }
        }
    }
    let order = |name: &str| stages.iter().position(|s| s.name == name);
    merged.sort_by(|(a_key, a), (b_key, b)| {
        (
            &a.location,
            &a.policy,
            a_key,
            &a.pointer,
            order(&a.stage),
            &a.object,
        )
            .cmp(&(
                &b.location,
                &b.policy,
                b_key,
                &b.pointer,
                order(&b.stage),
                &b.object,
            ))
    });
    for (_, finding) in &mut merged {
        finding.related.sort_by(|a, b| {
            (&a.path, a.line, a.column, &a.message).cmp(&(&b.path, b.line, b.column, &b.message))
        });
    }
    merged.into_iter().map(|(_, finding)| finding).collect()
}
