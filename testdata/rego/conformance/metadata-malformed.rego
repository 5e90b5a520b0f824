# opa: 1
package t

# METADATA
# title: [
result := 1
