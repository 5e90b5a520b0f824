# opa: true
package t

result = re_match("^a+$", "aa")
