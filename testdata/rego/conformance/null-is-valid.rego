# input: {"x":null}
# opa: [false,false,false,false,false,false]
package t

result := [semver.is_valid(input.x), json.is_valid(input.x), base64.is_valid(input.x), net.cidr_is_valid(input.x), yaml.is_valid(input.x), regex.is_valid(input.x)]
