# opa: "A rule"
package t

# METADATA
# title: A rule
result := rego.metadata.chain()[0].annotations.title
