# opa: {"a":{"y":[1]},"b":{"y":[2]}}
package t

p[k].y contains v if some k, v in {"a": 1, "b": 2}

result := p
