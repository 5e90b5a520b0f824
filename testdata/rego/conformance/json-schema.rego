# opa: false
package t

result := json.match_schema({"a": 1}, {"type": "object", "required": ["b"]})[0]
