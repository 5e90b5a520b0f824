# opa: [1,1,0,false,true]
package t

result := [semver.compare("1.10.0", "1.9.0"), semver.compare("1.0.0", "1.0.0-rc.1"), semver.compare("1.0.0+a", "1.0.0+b"), semver.is_valid("1.0"), semver.is_valid("1.0.0")]
