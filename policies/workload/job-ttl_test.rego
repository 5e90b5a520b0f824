package stagegate.job_ttl_test

import data.stagegate.job_ttl

found(kind, object, parameters) := violations if {
	review := {"kind": {"group": "batch", "version": "v1", "kind": kind}, "object": object}
	all_parameters := object_with({"maximum": 0, "cronJobs": false}, parameters)
	violations := job_ttl.violation with input as {"review": review, "parameters": all_parameters}
}

object_with(base, more) := object.union(base, more)

job(ttl) := {"metadata": {"name": "a"}, "spec": {"ttlSecondsAfterFinished": ttl}}

cron_job(ttl) := {"spec": {"jobTemplate": {"spec": {"ttlSecondsAfterFinished": ttl}}}}

hook(metadata) := {"metadata": metadata, "spec": {}}

test_a_job_has_a_time_to_live if {
	count(found("Job", job(0), {})) == 0
	count(found("Job", job(3600), {"maximum": 3600})) == 0
}

test_a_job_without_stays if {
	expected := {{
		"msg": "a finished Job stays for ever: ttlSecondsAfterFinished is not set",
		"pointer": "/spec/ttlSecondsAfterFinished",
	}}
	found("Job", {"spec": {}}, {}) == expected
	found("Job", job(null), {}) == expected
}

test_maximum if {
	{violation.msg | some violation in found("Job", job(3601), {"maximum": 3600})} == {"ttlSecondsAfterFinished 3601 is more than the allowed 3600"}
}

test_hooks_are_cleaned_up if {
	every hook_key in ["argocd.argoproj.io/hook", "helm.sh/hook"] {
		count(found("Job", hook({"name": "a", "annotations": {hook_key: "x"}}), {})) == 0
	}
	count(found("Job", hook({"name": "a", "annotations": {"argocd.argoproj.io/sync-wave": "1"}}), {})) == 1
}

test_generated_hooks_need_a_policy if {
	every policy in ["HookSucceeded", "BeforeHookCreation,HookFailed"] {
		annotations := {"argocd.argoproj.io/hook": "Sync", "argocd.argoproj.io/hook-delete-policy": policy}
		count(found("Job", hook({"generateName": "a-", "annotations": annotations}), {})) == 0
	}
	every policy in ["BeforeHookCreation", 5, null] {
		annotations := {"argocd.argoproj.io/hook": "Sync", "argocd.argoproj.io/hook-delete-policy": policy}
		count(found("Job", hook({"generateName": "a-", "annotations": annotations}), {})) == 1
	}
}

test_hooks_keep_within_the_maximum if {
	annotations := {"argocd.argoproj.io/hook": "Sync"}
	object := {"metadata": {"annotations": annotations}, "spec": {"ttlSecondsAfterFinished": 10}}
	count(found("Job", object, {"maximum": 5})) == 1
}

test_controlled_jobs_are_cleaned_up if {
	object := {"metadata": {"ownerReferences": [{"kind": "CronJob", "controller": true}]}, "spec": {}}
	count(found("Job", object, {})) == 0
	count(found("Job", {"metadata": {"ownerReferences": [{"kind": "CronJob"}]}, "spec": {}}, {})) == 1
}

test_cron_jobs_have_history_limits if {
	count(found("CronJob", {"spec": {"jobTemplate": {"spec": {}}}}, {})) == 0
	count(found("CronJob", cron_job(null), {})) == 0
	{violation.msg | some violation in found("CronJob", cron_job(5), {})} == {"ttlSecondsAfterFinished 5 deletes Jobs that the history limits of the CronJob keep"}
}

test_cron_jobs_as_configured if {
	count(found("CronJob", cron_job(5), {"cronJobs": true})) == 0
	count(found("CronJob", cron_job(null), {"cronJobs": true})) == 0
	found("CronJob", cron_job(5), {"cronJobs": true, "maximum": 4}) == {{
		"msg": "ttlSecondsAfterFinished 5 is more than the allowed 4",
		"pointer": "/spec/jobTemplate/spec/ttlSecondsAfterFinished",
	}}
}

test_garbage_is_no_error if {
	every ttl in ["x", [], {}, -1, false] {
		count(found("Job", job(ttl), {"maximum": 5})) == 1
	}
	every object in [{"spec": 5, "metadata": 5}, {"spec": "x", "metadata": {"annotations": 5, "ownerReferences": "x"}}] {
		count(found("Job", object, {})) == 1
		count(found("CronJob", object, {})) == 0
	}
	count(found("Job", {}, {})) == 0
}
