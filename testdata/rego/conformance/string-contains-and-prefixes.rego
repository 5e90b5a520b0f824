# opa: [true,true,true,true,true]
package t

result := [contains("abc", "b"), startswith("abc", ""), endswith("abc", "bc"), strings.any_prefix_match(["abc"], {"x", "a"}), strings.any_suffix_match("abc", ["c"])]
