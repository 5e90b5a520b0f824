# opa: true
package t

result := semver.is_valid("1.0.0-01")
