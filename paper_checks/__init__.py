"""Papers and their claims: one file a paper, one function a claim, each with the controls that guard it."""
