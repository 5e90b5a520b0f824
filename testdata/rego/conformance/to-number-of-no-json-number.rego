# opa: [true,true,true]
package t

result := [to_number("007") == 7, to_number("+1") == 1, to_number(".5") == 0.5]
