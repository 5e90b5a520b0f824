# opa: "a:\n- 1\n- b: c\n\"n\": \"1\"\ns: \"yes\"\n"
package t

result := yaml.marshal({"a": [1, {"b": "c"}], "s": "yes", "n": "1"})
