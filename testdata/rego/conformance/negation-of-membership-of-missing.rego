# input: {"drop":["ALL"]}
# opa: undefined
package t

result if not input.cap in input.drop
