# opa: [{"a":[""],"b":[""],"c":["d=e"]},"a=1&a=2&b=x+y","A é"]
package t

result := [urlquery.decode_object("a&b=&&c=d=e"), urlquery.encode_object({"b": "x y", "a": {"2", "1"}}), urlquery.decode("%41+%C3%A9")]
