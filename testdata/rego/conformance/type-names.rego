# opa: ["null","boolean","number","string","array","object","set"]
package t

result := [type_name(x) | some x in [null, true, 1, "a", [], {}, set()]]
