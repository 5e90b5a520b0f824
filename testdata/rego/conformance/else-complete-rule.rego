# input: {"kind":"Job"}
# opa: "batch"
package t

result := "workload" if input.kind == "Deployment"

else := "batch" if input.kind == "Job"

else := "other"
