package t

result := regex.match("^a+$", "aa")
