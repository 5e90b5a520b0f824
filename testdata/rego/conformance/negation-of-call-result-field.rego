# input: {"c":{"name":"a"}}
# opa: undefined
package t

meta(c) := c.metadata

result if not meta(input.c).labels
