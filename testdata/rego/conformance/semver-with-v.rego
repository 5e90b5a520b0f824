# opa: [true,0]
package t

result := [semver.is_valid("v1.0.0"), semver.compare("v1.0.0", "1.0.0")]
