package t

result := [[1], "a", {1}]
