# opa: {"base":{"x":1},"d":{"x":1,"z":2}}
package t

result := yaml.unmarshal("base: &b {x: 1}\nd:\n  <<: *b\n  z: 2\n")
