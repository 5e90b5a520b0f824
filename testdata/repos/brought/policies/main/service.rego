# METADATA
# title: Services are not open to everybody
# custom:
#   id: service-type
#   severity: critical
package main

violation contains {"msg": msg, "pointer": "/spec/type"} if {
	input.kind == "Service"
	input.spec.type == "LoadBalancer"
	msg := sprintf("Service %s is a LoadBalancer", [input.metadata.name])
}
