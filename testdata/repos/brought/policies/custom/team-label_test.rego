package stagegate.team_label_test

import data.stagegate.team_label

test_missing_label if {
	count(team_label.violation) == 1 with input as {
		"review": {"object": {"metadata": {"name": "x"}}},
		"parameters": {"teams": ["shop"]},
		"stage": {"name": "dev", "tier": "other"},
	}
}

test_known_team if {
	count(team_label.violation) == 0 with input as {
		"review": {"object": {"metadata": {"labels": {"team": "shop"}}}},
		"parameters": {"teams": ["shop"]},
		"stage": {"name": "dev", "tier": "other"},
	}
}
