# opa: 1
package t

# METADATA
# title: A rule
# custom:
#   severity: high
result := 1
