# opa: "~%2A"
package t

result := urlquery.encode("~*")
