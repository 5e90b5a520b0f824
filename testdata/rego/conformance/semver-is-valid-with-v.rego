# opa: true
package t

result := semver.is_valid("v1.0.0")
