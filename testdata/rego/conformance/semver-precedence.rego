# opa: [-1,1,-1,true,false]
package t

result := [semver.compare("1.0.0-2", "1.0.0-10"), semver.compare("1.0.0-a", "1.0.0-1"), semver.compare("1.0.0-a", "1.0.0-a.1"), semver.is_valid("1.0.0-"), semver.is_valid("vv1.0.0")]
