# opa: "A rule"
package t

# METADATA
# title: A rule
result := rego.metadata.rule().title
