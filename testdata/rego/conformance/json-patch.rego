# opa: {"a":[9,3],"b":1}
package t

result := json.patch({"a": [1, 2]}, [{"op": "add", "path": "/a/-", "value": 3}, {"op": "move", "from": "/a/0", "path": "/b"}, {"op": "replace", "path": "/a/0", "value": 9}])
