# opa: {"a":true,"b":true,"c":false}
package t

result := yaml.unmarshal("a: yes\nb: on\nc: off\n")
