# opa: ["a+b%26c","a b&c","a=b&a=c",{"a":["b","c"]}]
package t

result := [urlquery.encode("a b&c"), urlquery.decode("a+b%26c"), urlquery.encode_object({"a": ["b", "c"]}), urlquery.decode_object("a=b&a=c")]
