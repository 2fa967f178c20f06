<?php
// Symfony's NotCompromisedPassword against our range service. Arguments:
// endpoint with %s for the prefix, a listed password.
require 'Symfony/Component/Validator/autoload.php';
require 'Symfony/Component/HttpClient/autoload.php';

use Symfony\Component\HttpClient\HttpClient;
use Symfony\Component\Validator\Constraints\NotCompromisedPassword;
use Symfony\Component\Validator\Constraints\NotCompromisedPasswordValidator;
use Symfony\Component\Validator\ConstraintValidatorFactory;
use Symfony\Component\Validator\Validation;

[, $endpoint, $password] = $argv;
$check = new NotCompromisedPasswordValidator(HttpClient::create(), 'UTF-8', true, $endpoint);
$factory = new class($check) extends ConstraintValidatorFactory {
    public function __construct(private $check)
    {
        parent::__construct();
    }

    public function getInstance(Symfony\Component\Validator\Constraint $constraint): Symfony\Component\Validator\ConstraintValidatorInterface
    {
        return $constraint instanceof NotCompromisedPassword ? $this->check : parent::getInstance($constraint);
    }
};
$validator = Validation::createValidatorBuilder()->setConstraintValidatorFactory($factory)->getValidator();
if (1 !== count($validator->validate($password, new NotCompromisedPassword()))) {
    fwrite(STDERR, "a listed password was not found\n");
    exit(1);
}
if (0 !== count($validator->validate($password.' but not this', new NotCompromisedPassword()))) {
    fwrite(STDERR, "a password that is not listed was found\n");
    exit(1);
}
