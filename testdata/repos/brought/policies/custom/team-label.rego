# METADATA
# title: Workloads say which team they belong to
# description: |
#   # What it checks
#
#   Every workload has the label `team`, with one of the teams in `teams`.
#
#   # Why
#
#   Whoever is called at night finds the team by it.
# custom:
#   severity: high
#   enforcement: warn
#   production: deny
#   matches: [apps/*/Deployment, "apps/*/StatefulSet"]
#   help: set the label team
#   parameters:
#     teams:
#       type: array
#       items: {type: string}
#       default: [shop, search]
#       description: the teams that there are
package stagegate.team_label

import data.lib.labels

violation contains {"msg": "the label team is missing", "pointer": "/metadata/labels/team"} if {
	not labels.of(input.review.object).team
}

violation contains {"msg": msg, "pointer": "/metadata/labels/team", "help": help} if {
	team := labels.of(input.review.object).team
	not team in input.parameters.teams
	msg := sprintf("there is no team %q", [team])
	help := sprintf("one of %s", [concat(", ", input.parameters.teams)])
}

# Who wears a pager may be told in data.yaml.
violation contains {"msg": msg, "pointer": "/metadata/labels/team"} if {
	input.stage.tier == "production"
	team := labels.of(input.review.object).team
	team in data.without_pager
	msg := sprintf("the team %q has no pager, and this is production", [team])
}
