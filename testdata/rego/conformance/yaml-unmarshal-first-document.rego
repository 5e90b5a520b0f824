# opa: [{"a":2},null,{"a":1},null,false]
package t

result := [yaml.unmarshal("a: 1\na: 2\n"), yaml.unmarshal(""), yaml.unmarshal("a: 1\n---\nb: [\n"), yaml.unmarshal("---\n---\na: 1\n"), yaml.is_valid("a: [")]
