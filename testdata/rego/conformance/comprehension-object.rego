# input: {"env":[{"name":"A","value":"1"},{"name":"B","value":"2"}]}
# opa: {"A":"1","B":"2"}
package t

result := {e.name: e.value | some e in input.env}
