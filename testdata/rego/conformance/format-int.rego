# opa: ["ff","101","-10","3"]
package t

result := [format_int(255, 16), format_int(5, 2), format_int(-8, 8), format_int(3.7, 10)]
