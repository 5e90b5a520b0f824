# opa: {"mode":420}
package t

result := yaml.unmarshal("mode: 0644\n")
